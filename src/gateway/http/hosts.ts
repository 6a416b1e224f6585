/**
 * Under which names a gateway without keys may be called. A web page can let a name of its own point at this machine (DNS
 * rebinding) and would then be its own origin here; the header Host gives it away (RFC 9110, section 7.2).
 */

/** Names that always mean this machine. */
const ownNames = ['localhost', '127.0.0.1', '[::1]'] as const;

/** Accepts or refuses the header Host. */
export class HostNames {
  readonly #names: ReadonlySet<string> | undefined;
  /** The header that was accepted last: most requests have the same. */
  #accepted: string | undefined;

  /** @param more names beside this machine's own, without port; "*" for any */
  constructor(more: readonly string[]) {
    this.#names = more.includes('*') ? undefined : new Set([...ownNames, ...more].map((name) => bracketed(name.toLowerCase())));
  }

  /** Whether a request with this header means this gateway. Clients without one (HTTP/1.0) are no browsers. */
  accept(header: string | undefined): boolean {
    if (header === this.#accepted || header === undefined || this.#names === undefined) return true;
    if (!this.#names.has(nameOf(header))) return false;
    this.#accepted = header;
    return true;
  }

  /** The names, for a message. */
  get list(): string {
    return [...(this.#names ?? ['any'])].join(', ');
  }
}

/** The header without its port. */
function nameOf(header: string): string {
  const end = header.startsWith('[') ? header.indexOf(']') + 1 : header.indexOf(':');
  return (end > 0 ? header.slice(0, end) : header).toLowerCase();
}

/** An IPv6 address as the header writes it. */
function bracketed(name: string): string {
  return name.includes(':') && !name.startsWith('[') ? `[${name}]` : name;
}
