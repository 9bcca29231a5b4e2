// Sends the examples of docs/openapi.yaml to the running server.
import { User, request, sql } from '../http/lib.mjs';
import { checkReply, operation } from './document.mjs';
import { scenarios } from './scenarios.mjs';
import { toPresent } from './time.mjs';

// Sends one request of an operation; the reply must be one that the document tells of.
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

  // Changes the user's rows of a table, as time would.
  alter(table, change) {
    return sql(`UPDATE ${table} SET ${change} WHERE user_id = '${this.user.id}'`);
  }
}

// The request that the examples called `name` make together, in the present.
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

// Sends the example `name` after what its scenario says; resolves to the reply.
export async function play(op, name) {
  const actor = new Actor();
  const instead = await scenarios[op.id]?.[name]?.(actor);
  const made = requestOf(op, name);
  for (const part of ['path', 'query', 'headers']) Object.assign(made[part], instead?.[part]);
  if (instead?.body) made.body = instead.body;
  return actor.ask(op.id, made);
}
