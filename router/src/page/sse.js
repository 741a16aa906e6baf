// Reads the server-sent events of an answer to `fetch`: EventSource can only ask with GET.

/** Yields the data of each event; comments (`: keep-alive`) come as `null`, since they too say that somebody is there. */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value.replaceAll("\r\n", "\n")).split("\n\n");
    rest = parts.pop();
    for (const part of parts) yield dataOf(part);
  }
}

function dataOf(event) {
  const lines = event.split("\n").filter((line) => line.startsWith("data:"));
  return lines.length > 0 ? lines.map((line) => line.slice(5).trimStart()).join("\n") : null;
}
