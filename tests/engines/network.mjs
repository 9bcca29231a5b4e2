// A device's network, on which requests fail as the dice say. It stands in the place of `fetch`.
import { sleep } from '../wait.mjs';

const weights = { passes: 62, 'answer lost': 12, 'cut before': 10, 'arrives late': 6, 'is away': 10 };

export class Network {
  // acknowledge(operations) is called with the operations of each request whose answer arrives.
  constructor(dice, acknowledge) {
    Object.assign(this, { dice, acknowledge, inFlight: 0, late: undefined, counts: {}, faults: true });
  }

  // Lets so many requests through, with faults; Infinity: all, without. 0: requests wait until the network is opened
  // again, so that an engine does not repeat them all the time meanwhile.
  open(requests) {
    this.release?.();
    this.left = requests;
    this.faults = requests !== Infinity;
    this.opened = requests === 0 ? new Promise((resolve) => (this.release = resolve)) : undefined;
  }

  // Lets requests through until one has written; its answer gets lost.
  loseAnswer() {
    this.open(Infinity);
    this.losing = true;
  }

  fetch = async (target, options) => {
    await this.opened;
    if (this.left-- <= 0) throw new TypeError('offline');
    const losing = this.losing && options.method === 'POST';
    if (losing) Object.assign(this, { losing: false, left: 0 });
    const fate = losing ? 'answer lost' : this.faults ? this.dice.weighted(weights) : 'passes';
    this.counts[fate] = (this.counts[fate] ?? 0) + 1;
    if (fate === 'cut before') throw new TypeError('fetch failed');
    if (fate === 'is away')
      return new Response('{"success":false,"error":"SYNC_FAILED","message":"busy"}', { status: 503 });
    if (fate === 'arrives late' && !this.late) { // after the next request of this device, which may be its repeat
      this.late = () => this.send(target, options);
      throw new TypeError('fetch failed');
    }
    const reply = await this.send(target, options);
    const late = this.late;
    this.late = undefined;
    await late?.();
    if (fate === 'answer lost') throw new TypeError('terminated');
    if (options.method === 'POST' && reply.ok) this.acknowledge(JSON.parse(options.body).operations ?? []);
    return reply;
  };

  async send(target, options) {
    this.inFlight++;
    try {
      const reply = await fetch(target, options);
      const text = await reply.text();
      return new Response(text, { status: reply.status, headers: reply.headers });
    } finally {
      this.inFlight--;
    }
  }
}

// Resolves when `done` is true or the network is used up, and the engine has had time to store the last answer.
export async function untilQuiet(network, done) {
  while ((!done() && network.left > 0) || network.inFlight > 0) await sleep(2);
  for (let turn = 0; turn < 5; turn++) await sleep(1);
}
