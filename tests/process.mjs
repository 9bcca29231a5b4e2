// Processes of the machine: shared by all tests.
import { readFileSync, readdirSync } from 'node:fs';

const stat = (pid) => {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return ''; // there is no such process
  }
};

// Whether a process exists and is not a zombie.
export const isAlive = (pid) => /^\d+ \(.*\) [^Z]/s.test(stat(pid));

// The processes whose parent is `pid`.
export const childrenOf = (pid) => readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number)
  .filter((child) => Number(/\) \S (\d+)/.exec(stat(child))?.[1]) === pid);
