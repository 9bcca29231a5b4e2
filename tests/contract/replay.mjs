// Sends the examples of docs/openapi.yaml to the running server.
import { User, request, sql } from '../http/lib.mjs';
import { checkReply, operation } from './document.mjs';
import { scenarios } from './scenarios.mjs';
import { toPresent } from './time.mjs';

// Sends one request of an operation; the reply must match the document.
export async function ask(id, token, { path = {}, query = {}, headers = {}, body } = {}) {
  const op = operation(id);
  const target = op.base + op.path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(path[name]));
  const parameters = new URLSearchParams(query).toString();
  const reply = await request(parameters ? `${target}?${parameters}` : target, {
    method: op.method,
    token: op.secured ? token : undefined,
    headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  checkReply(op, reply);
  return reply;
}

// The user of one scenario.
export class Actor {
  user = new User();

  ask(id, made) {
    return ask(id, this.user.token, made);
  }

  // Resolves to the body of the reply, which must be a success.
  async call(id, made) {
    const reply = await this.ask(id, made);
    if (reply.status >= 300) throw new Error(`${id}: ${reply.status} ${reply.text}`);
    return reply.json;
  }

  send(operations, envelope) {
    return this.call('sendOperations', { body: { ...envelope, operations } });
  }

  // Changes the user's rows of a table, to simulate the passage of time.
  alter(table, change) {
    return sql(`UPDATE ${table} SET ${change} WHERE user_id = '${this.user.id}'`);
  }

  // What `booky-sync resync` does after a restore of a backup that is a minute older than the last write.
  restore() {
    return sql(`INSERT INTO epochs SELECT user_id, epoch, clock - 60000, id FROM clocks CROSS JOIN installation
      WHERE user_id = '${this.user.id}'; UPDATE clocks SET epoch = epoch + 2 WHERE user_id = '${this.user.id}'`);
  }
}

// The request that the parameter and body examples called `name` make together, moved to the present.
function requestOf(op, name) {
  const made = { path: {}, query: {}, headers: {}, body: toPresent(op.body?.examples[name]?.value) };
  const places = { path: made.path, query: made.query, header: made.headers };
  for (const parameter of op.parameters) {
    const value = parameter.examples?.[name]?.value;
    if (value !== undefined)
      places[parameter.in][parameter.name] = Array.isArray(value) ? value.join() : toPresent(value);
  }
  return made;
}

// Runs the scenario of the example `name`, if there is one, and sends the example; resolves to the reply.
export async function play(op, name) {
  const actor = new Actor();
  const instead = await scenarios[op.id]?.[name]?.(actor);
  const made = requestOf(op, name);
  for (const part of ['path', 'query', 'headers']) Object.assign(made[part], instead?.[part]);
  if (instead?.body) made.body = instead.body;
  return actor.ask(op.id, made);
}
