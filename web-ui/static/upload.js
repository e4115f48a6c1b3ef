// Takes in an image from this computer: reads the file twice, once for its hash and once to send it, so that what was
// broken off goes on where it stopped. The store keeps zstd (RFC 8878): a raw disk or tar is wrapped into frames of
// raw blocks, in which runs of one byte (a disk's empty parts) take four bytes; .gz is opened on the way.
"use strict";

// ---- SHA-256 (FIPS 180-4), piece by piece: the browser's own wants the whole file at once ------------------------

const K = new Uint32Array(64);
{
  let n = 0;
  for (let c = 2; n < 64; c++) {
    let prime = true;
    for (let d = 2; d * d <= c; d++) if (c % d === 0) { prime = false; break; }
    if (!prime) continue;
    const root = Math.cbrt(c);
    K[n++] = Math.floor((root - Math.floor(root)) * 2 ** 32);
  }
}

class Sha256 {
  constructor() {
    this.state = new Uint32Array([0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19]);
    this.words = new Int32Array(64);
    this.rest = new Uint8Array(64);
    this.held = 0;
    this.length = 0;
  }

  update(bytes) {
    this.length += bytes.length;
    let at = 0;
    if (this.held) {
      at = Math.min(64 - this.held, bytes.length);
      this.rest.set(bytes.subarray(0, at), this.held);
      this.held += at;
      if (this.held < 64) return;
      this.block(this.rest, 0);
      this.held = 0;
    }
    for (; at + 64 <= bytes.length; at += 64) this.block(bytes, at);
    this.rest.set(bytes.subarray(at));
    this.held = bytes.length - at;
  }

  block(bytes, at) {
    const w = this.words;
    for (let i = 0; i < 16; i++, at += 4) w[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15], y = w[i - 2];
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
    }
    let [a, b, c, d, e, f, g, h] = this.state;
    for (let i = 0; i < 64; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g; g = f; f = e; e = (d + t1) | 0; d = c; c = b; b = a; a = (t1 + t2) | 0;
    }
    const s = this.state;
    s[0] += a; s[1] += b; s[2] += c; s[3] += d; s[4] += e; s[5] += f; s[6] += g; s[7] += h;
  }

  hex() {
    const bits = this.length * 8;
    const end = new Uint8Array((this.held < 56 ? 56 : 120) - this.held + 8);
    end[0] = 0x80;
    new DataView(end.buffer).setUint32(end.length - 8, Math.floor(bits / 2 ** 32));
    new DataView(end.buffer).setUint32(end.length - 4, bits >>> 0);
    this.update(end);
    return [...this.state].map((word) => word.toString(16).padStart(8, "0")).join("");
  }
}

// ---- What the file is -----------------------------------------------------------------------------------------

const starts = (bytes, ...magic) => magic.every((byte, i) => bytes[i] === byte);
const convert = "Take it in with the command line, which converts it: rackwright image import FILE";

// Of a zstd frame's header (RFC 8878 §3.1.1.1): how many bytes come out, if it says.
function contentSize(head) {
  const flags = head[4], single = (flags >> 5) & 1, kind = flags >> 6;
  const at = 5 + (single ? 0 : 1) + [0, 1, 2, 4][flags & 3];
  const view = new DataView(head.buffer, head.byteOffset);
  if (kind === 0) return single ? head[at] : null;
  if (kind === 1) return view.getUint16(at, true) + 256;
  return kind === 2 ? view.getUint32(at, true) : Number(view.getBigUint64(at, true));
}

async function look(file, said) {
  let head = new Uint8Array(await file.slice(0, 4096).arrayBuffer());
  if (starts(head, 0x51, 0x46, 0x49, 0xfb)) throw new Error(`This is a qcow2 disk. ${convert}`);
  if (starts(head, 0xfd, 0x37, 0x7a, 0x58, 0x5a)) throw new Error(`This is packed with xz. ${convert}`);
  if (starts(head, 0x28, 0xb5, 0x2f, 0xfd)) {
    const whole = contentSize(head);
    if (!said) throw new Error("This is packed with zstd: say above whether it is a disk or a root file system.");
    if (!whole) throw new Error(`This zstd file does not say how large its content is. ${convert}`);
    return { name: said, packed: true, whole, open: () => file.stream() };
  }
  const gzip = starts(head, 0x1f, 0x8b);
  const open = () => (gzip ? file.stream().pipeThrough(new DecompressionStream("gzip")) : file.stream());
  if (gzip) {
    const reader = open().getReader();
    head = (await reader.read()).value ?? new Uint8Array();
    await reader.cancel();
  }
  const tar = String.fromCharCode(...head.slice(257, 262)) === "ustar";
  const disk = head[510] === 0x55 && head[511] === 0xaa;
  if (!said && !tar && !disk) throw new Error("This is neither a disk with a partition table nor a tar. Say above what it is, if you know better.");
  return { name: said || (tar ? "rootfs" : "disk"), packed: false, open };
}

// ---- The stream that is kept ----------------------------------------------------------------------------------

const BLOCK = 128 * 1024;

function frame(bytes, last) {
  const first = bytes[0];
  let same = bytes.length > 0;
  for (let i = 1; i < bytes.length && same; i++) same = bytes[i] === first;
  const head = (last ? 1 : 0) | ((same ? 1 : 0) << 1) | (bytes.length << 3);
  const out = new Uint8Array(3 + (same ? 1 : bytes.length));
  out.set([head & 255, (head >> 8) & 255, (head >> 16) & 255]);
  out.set(same ? bytes.subarray(0, 1) : bytes, 3);
  return out;
}

// The pieces that are hashed and sent; tells how much of the content has passed.
async function* pieces(image, passed) {
  const reader = image.open().getReader();
  if (!image.packed) yield new Uint8Array([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38]);
  let block = new Uint8Array(BLOCK), held = 0;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    passed(value.length);
    if (image.packed) { yield value; continue; }
    for (let at = 0; at < value.length;) {
      const take = Math.min(BLOCK - held, value.length - at);
      block.set(value.subarray(at, at + take), held);
      held += take;
      at += take;
      if (held === BLOCK) { yield frame(block, false); held = 0; }
    }
  }
  if (!image.packed) yield frame(block.subarray(0, held), true);
}

// ---- Sending --------------------------------------------------------------------------------------------------

const AT_ONCE = 8 * 1024 * 1024;

async function ask(method, path, csrf, body, headers = {}) {
  const response = await fetch(`/api/v1${path}`, { method, body, headers: { "x-csrf-token": csrf, ...headers } });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.detail ?? answer.title ?? `The region answered ${response.status}.`);
  return answer;
}

async function send(image, form, show) {
  const csrf = form.elements.csrf.value, name = form.elements.name.value.trim();
  const hash = new Sha256();
  let whole = 0, size = 0;
  for await (const piece of pieces(image, (n) => { whole += n; show("Reading", whole); })) {
    hash.update(piece);
    size += piece.length;
  }
  if (image.packed) whole = image.whole;
  const sha256 = hash.hex();
  const path = `/images/${encodeURIComponent(name)}/files/${image.name}?sha256=${sha256}`;
  let state = await ask("GET", path, csrf);
  let at = 0, pending = [], waiting = 0;
  const flush = async () => {
    const end = at + waiting;
    if (state.complete || end <= state.received) { at = end; pending = []; waiting = 0; return; }
    const skip = Math.max(0, state.received - at);
    const body = new Blob(pending).slice(skip);
    state = await ask("POST", path, csrf, body, { "content-type": "application/octet-stream", "content-range": `bytes ${at + skip}-${end - 1}/${size}` });
    at = end; pending = []; waiting = 0;
    show("Sending", at, size);
  };
  for await (const piece of pieces(image, () => {})) {
    pending.push(piece.slice());
    waiting += piece.length;
    if (waiting >= AT_ONCE) await flush();
    if (state.complete) break;
  }
  if (waiting && !state.complete) await flush();
  if (!state.complete) throw new Error("Not all of it has arrived. Send it again: it goes on where it stopped.");
  return ask("POST", "/images", csrf, JSON.stringify({
    name, kind: "os", title: form.elements.title.value.trim(),
    manifest: { name, imported_from: form.elements.file.files[0].name },
    files: [{ name: image.name, sha256, size, uncompressed_size: whole }],
  }), { "content-type": "application/json" });
}

const form = document.querySelector("[data-upload]");
form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const file = form.elements.file.files[0];
  const bar = document.getElementById("upload-bar"), note = document.getElementById("upload-note"), button = form.querySelector("button");
  if (!file) return;
  let shown = 0;
  const show = (what, bytes, of) => {
    if (performance.now() - shown < 100 && bytes !== of) return;
    shown = performance.now();
    const all = of ?? file.size;
    bar.max = all;
    bar.value = Math.min(bytes, all);
    note.textContent = `${what}: ${(bytes / 1e6).toFixed(0)} MB${bytes <= all ? ` of ${(all / 1e6).toFixed(0)} MB` : ""}`;
  };
  button.disabled = true;
  bar.hidden = false;
  note.className = "muted";
  const leaving = (e) => e.preventDefault();
  addEventListener("beforeunload", leaving);
  try {
    const made = await send(await look(file, form.elements.what.value), form, show);
    removeEventListener("beforeunload", leaving);
    location.assign(`/images/${made.name}@${made.version}`);
  } catch (error) {
    note.textContent = error.message;
    note.className = "notice bad";
    bar.hidden = true;
  }
  removeEventListener("beforeunload", leaving);
  button.disabled = false;
  delete form.dataset.sent;
});
