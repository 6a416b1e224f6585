/** The text of a JSON object cut into the texts of its members, so that a value can be passed on as it was written. RFC 8259. */

/** The members' own texts by name; of two of one name, the last. @param json text of an object, without mistakes */
export function memberSources(json: string): ReadonlyMap<string, string> {
  const members = new Map<string, string>();
  let at = json.indexOf('{') + 1;
  for (;;) {
    at = json.indexOf('"', at);
    if (at < 0) return members;
    const nameEnd = stringEnd(json, at);
    const name = JSON.parse(json.slice(at, nameEnd)) as string;
    const start = json.indexOf(':', nameEnd) + 1;
    at = valueEnd(json, start);
    members.set(name, json.slice(start, at).trim());
  }
}

/** Where the string ends that begins here. */
function stringEnd(json: string, start: number): number {
  let at = start + 1;
  while (json[at] !== '"') at += json[at] === '\\' ? 2 : 1;
  return at + 1;
}

/** Where the member ends whose value begins here: before the comma or brace that is not its own. */
function valueEnd(json: string, start: number): number {
  let depth = 0;
  for (let at = start; at < json.length; at++) {
    const character = json[at] as string;
    if (character === '"') at = stringEnd(json, at) - 1;
    else if (depth === 0 && (character === ',' || character === '}')) return at;
    else if (character === '{' || character === '[') depth++;
    else if (character === '}' || character === ']') depth--;
  }
  return json.length;
}
