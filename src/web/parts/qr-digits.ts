// A QR code (ISO/IEC 18004) of sixty digits or fewer, and of nothing else: version 2, level M, numeric. Small, for the guest's page;
// codes of other texts are drawn with a library, in the other page.

const size = 25
const dataBytes = 28
const checkBytes = 16
/** Version 2, level M, numeric mode. */
const mostDigits = 63

/** The modules, row by row; true is dark. */
export function qrOfDigits(digits: string): boolean[][] {
  if (!/^\d+$/.test(digits) || digits.length > mostDigits) throw new RangeError('up to 63 digits')
  const data = dataOf(digits)
  const bits = bitsOf([...data, ...checksOf(data)])
  const all = Array.from({ length: 8 }, (_, mask) => drawn(bits, mask))
  return all.reduce((best, each) => (penaltyOf(each) < penaltyOf(best) ? each : best))
}

function dataOf(digits: string): number[] {
  let bits = `0001${binary(digits.length, 10)}`
  for (let at = 0; at < digits.length; at += 3) {
    const group = digits.slice(at, at + 3)
    bits += binary(Number(group), [0, 4, 7, 10][group.length]!)
  }
  bits += '0'.repeat(Math.min(4, dataBytes * 8 - bits.length))
  bits = bits.padEnd(Math.ceil(bits.length / 8) * 8, '0')
  const bytes = (bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2))
  for (let pad = 0xec; bytes.length < dataBytes; pad ^= 0xec ^ 0x11) bytes.push(pad)
  return bytes
}

const binary = (value: number, length: number) => value.toString(2).padStart(length, '0')
const bitsOf = (bytes: readonly number[]) => bytes.map((byte) => binary(byte, 8)).join('')

/** In GF(2^8) with 0x11d, as QR codes have it. */
function times(a: number, b: number): number {
  let product = 0
  for (let i = 7; i >= 0; i--) {
    product = (product << 1) ^ ((product >> 7) * 0x11d)
    product ^= ((b >> i) & 1) * a
  }
  return product
}

/** The remainder of Reed and Solomon. */
function checksOf(data: readonly number[]): number[] {
  const generator = new Array<number>(checkBytes).fill(0)
  generator[checkBytes - 1] = 1
  for (let i = 0, root = 1; i < checkBytes; i++, root = times(root, 2))
    for (let j = 0; j < checkBytes; j++) generator[j] = times(generator[j]!, root) ^ (generator[j + 1] ?? 0)
  const rest = new Array<number>(checkBytes).fill(0)
  for (const byte of data) {
    const factor = byte ^ rest.shift()!
    rest.push(0)
    for (let j = 0; j < checkBytes; j++) rest[j]! ^= times(generator[j]!, factor)
  }
  return rest
}

const masks: readonly ((x: number, y: number) => boolean)[] = [
  (x, y) => (x + y) % 2 === 0,
  (_, y) => y % 2 === 0,
  (x) => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
]

function drawn(bits: string, mask: number): boolean[][] {
  const modules: (boolean | undefined)[][] = Array.from({ length: size }, () => new Array(size).fill(undefined))
  const set = (x: number, y: number, dark: boolean) => {
    if (x >= 0 && y >= 0 && x < size && y < size) modules[y]![x] = dark
  }
  for (let i = 0; i < size; i++) {
    set(6, i, i % 2 === 0)
    set(i, 6, i % 2 === 0)
  }
  const square = (cx: number, cy: number, radius: number) => {
    for (let dy = -radius; dy <= radius; dy++)
      for (let dx = -radius; dx <= radius; dx++) {
        const ring = Math.max(Math.abs(dx), Math.abs(dy))
        set(cx + dx, cy + dy, radius === 4 ? ring !== 2 && ring !== 4 : ring !== 1)
      }
  }
  for (const [x, y] of [
    [3, 3],
    [size - 4, 3],
    [3, size - 4],
  ] as const)
    square(x, y, 4)
  square(18, 18, 2)
  drawFormat(set, mask)
  let at = 0
  for (let right = size - 1; right > 0; right -= 2) {
    // The column of the timing pattern is passed over.
    const column = right > 6 ? right : right - 1
    const upwards = ((size - 1 - right) / 2) % 2 === 0
    for (let step = 0; step < size; step++) {
      const y = upwards ? size - 1 - step : step
      for (const x of [column, column - 1]) {
        if (modules[y]![x] !== undefined) continue
        set(x, y, (bits[at++] === '1') !== masks[mask]!(x, y))
      }
    }
    if (right === 8) right = 7
  }
  return modules as boolean[][]
}

/** Level and mask, with their own check bits, twice. */
function drawFormat(set: (x: number, y: number, dark: boolean) => void, mask: number): void {
  let rest = mask
  for (let i = 0; i < 10; i++) rest = (rest << 1) ^ ((rest >> 9) * 0x537)
  const format = ((mask << 10) | rest) ^ 0x5412
  const bit = (i: number) => ((format >> i) & 1) === 1
  for (let i = 0; i <= 5; i++) set(8, i, bit(i))
  set(8, 7, bit(6))
  set(8, 8, bit(7))
  set(7, 8, bit(8))
  for (let i = 9; i < 15; i++) set(14 - i, 8, bit(i))
  for (let i = 0; i < 8; i++) set(size - 1 - i, 8, bit(i))
  for (let i = 8; i < 15; i++) set(8, size - 15 + i, bit(i))
  set(8, size - 8, true)
}

/** How unlike a good code it is: long runs, and an uneven share of dark. */
function penaltyOf(modules: readonly (readonly boolean[])[]): number {
  let penalty = 0
  const lines = [...modules, ...modules.map((_, x) => modules.map((row) => row[x]!))]
  for (const line of lines)
    for (const [run] of line
      .map((dark) => (dark ? '1' : '0'))
      .join('')
      .matchAll(/1{5,}|0{5,}/g))
      penalty += run.length - 2
  const dark = modules.flat().filter(Boolean).length
  return penalty + Math.floor(Math.abs((dark * 20) / size ** 2 - 10)) * 10
}
