// Splits a large upload into several requests.

const COUNT = 1000;

/**
 * Calls `send` with parts of the items, each of at most `size()` characters as JSON. A part that the server refuses
 * with one of `codes` is halved until the item at fault is alone; that one is given to `refused`.
 */
export async function inParts<T>(
  items: T[], size: () => number, send: (part: T[]) => Promise<void>, codes: string[],
  refused: (item: T, error: any) => Promise<void>,
): Promise<void> {
  const sendPart = async (part: T[]): Promise<void> => {
    try {
      await send(part);
    } catch (error: any) {
      if (!codes.includes(error.code)) throw error;
      if (part.length === 1) return refused(part[0], error);
      const half = part.length >> 1;
      await sendPart(part.slice(0, half));
      await sendPart(part.slice(half));
    }
  };
  for (let start = 0, end = 0; start < items.length; start = end) {
    for (let room = size(); end < items.length && end - start < COUNT; end++) {
      room -= JSON.stringify(items[end]).length;
      if (room < 0 && end > start) break;
    }
    await sendPart(items.slice(start, end));
  }
}
