// Questions to the API, and the address that holds them.

export const isStatic = document.documentElement.hasAttribute('data-static');

/** A fault as data: `{cause, place, help}`. */
export class Fault extends Error {
  constructor(error) {
    super(error.cause);
    this.error = error;
  }
}

/** The text of an answer. */
export async function asText(command, request, signal) {
  let response;
  try {
    response = await fetch(`/api/v1/${command}`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(request), signal,
    });
  } catch (e) {
    if (e.name === 'AbortError') throw e;
    throw new Fault({ cause: 'the server does not answer', help: 'is `shardfit serve` still running?' });
  }
  const text = await response.text();
  if (!response.ok) throw new Fault(parsed(text, response.status).error ?? { cause: `the server answered ${response.status}` });
  return text;
}

function parsed(text, status) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Fault({ cause: `the server answered ${status} without JSON` });
  }
}

export const ask = async (command, request, signal) => parsed(await asText(command, request, signal), 200);

/** Asks for an answer in few bytes: without what is null, and without the front unless `pareto` asks for it. */
export const askBriefly = (command, request, signal) => ask(`${command}?brief`, request, signal);

/** Asks one thing at a time: an answer to an older question is never seen. */
export class Latest {
  #number = 0;
  #abort = null;

  /** Runs `work(signal)`; undefined where another question has come in the meantime. */
  async run(work) {
    const number = ++this.#number;
    this.#abort?.abort();
    this.#abort = new AbortController();
    try {
      const value = await work(this.#abort.signal);
      return number === this.#number ? { value } : undefined;
    } catch (e) {
      if (e.name === 'AbortError' || number !== this.#number) return undefined;
      if (e instanceof Fault) return { error: e.error };
      throw e;
    }
  }

  cancel() {
    this.#number += 1;
    this.#abort?.abort();
  }
}

/** Version of what addresses hold. */
const VERSION = '1';

/** `#/plan?v=1&model=…` as `{view, fields}`. */
export function readAddress() {
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
  const fields = {};
  for (const [key, value] of new URLSearchParams(query ?? '')) {
    if (key === 'v') continue;
    fields[key] = key in fields ? [].concat(fields[key], value) : value;
  }
  return { view: path, fields };
}

export function address(view, fields) {
  const query = new URLSearchParams({ v: VERSION });
  for (const [key, value] of Object.entries(fields)) {
    for (const one of [].concat(value)) if (one !== '' && one !== null && one !== undefined) query.append(key, one);
  }
  return `#/${view}?${query}`;
}

let catalogue;

export async function entries() {
  catalogue ??= Promise.all(['models', 'gpus', 'clusters', 'engines', 'frameworks'].map(async (kind) => {
    const response = await fetch(`${isStatic ? '' : '/'}api/v1/catalog/${kind}`);
    return [kind, response.ok ? await response.json() : []];
  })).then(Object.fromEntries);
  return catalogue;
}
