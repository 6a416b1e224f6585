/**
 * The C library's heap: whatever is not in V8's heap lies there, such as what compilers need while they work, buffers, the native
 * libraries' own. What is freed stays with the process, in a part for each thread. glibc gives it back when it is told to
 * (`malloc_trim`); other C libraries do so themselves.
 */

type Trim = (pad: number, done: (error: unknown) => void) => void;

let trim: Promise<Trim | undefined> | undefined;

/** Gives the system back what the C library's heap holds free, beside other work. @returns whether this C library can be told to */
export async function trimNativeHeap(): Promise<boolean> {
  const run = await (trim ??= loadTrim());
  if (run === undefined) return false;
  await new Promise((resolve) => run(0, resolve));
  return true;
}

async function loadTrim(): Promise<Trim | undefined> {
  if (process.platform !== 'linux') return undefined;
  try {
    const { default: koffi } = await import('koffi');
    return koffi.load(null).func('int malloc_trim(size_t pad)').async as Trim;
  } catch {
    return undefined; // another C library, or no koffi for this machine
  }
}
