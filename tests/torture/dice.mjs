// Repeatable randomness: an independent stream of numbers for each name, all from one seed. The actions of one device
// cannot change the plan of another.
import { createHash } from 'node:crypto';

export class Dice {
  constructor(...names) {
    const hash = createHash('sha256').update(names.join('/')).digest();
    this.state = [0, 4, 8, 12].map((at) => hash.readUInt32LE(at));
  }

  // xoshiro128**, 32 bits
  next() {
    const s = this.state;
    const turned = Math.imul(s[1], 5);
    const result = Math.imul((turned << 7) | (turned >>> 25), 9) >>> 0;
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 11) | (s[3] >>> 21);
    return result;
  }

  below(count) {
    return Math.floor((this.next() / 2 ** 32) * count);
  }

  between(from, to) {
    return from + this.below(to - from + 1);
  }

  chance(percent) {
    return this.next() / 2 ** 32 < percent / 100;
  }

  pick(list) {
    return list[this.below(list.length)];
  }

  // A random key of `weights`, with its value as the weight.
  weighted(weights) {
    let left = this.below(Object.values(weights).reduce((sum, weight) => sum + weight, 0));
    for (const [name, weight] of Object.entries(weights)) if ((left -= weight) < 0) return name;
  }

  shuffle(list) {
    const shuffled = [...list];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [shuffled[i], shuffled[j]] = [shuffled[j], shuffled[i]];
    }
    return shuffled;
  }
}
