import assert from 'node:assert/strict'
import { test } from 'node:test'
import scanning from 'jsqr'
import { qrOfDigits } from './qr-digits.ts'

// A module written for an older format: what it exports is under `default` twice.
const scan = (scanning as unknown as { default: typeof import('jsqr').default }).default ?? scanning

/** Read as a camera would see it: each module four points wide, with a margin. */
function seen(modules: boolean[][]) {
  const [scale, margin] = [4, 16]
  const size = modules.length * scale + 2 * margin
  const points = new Uint8ClampedArray(size * size * 4).fill(255)
  for (const [y, row] of modules.entries())
    for (const [x, dark] of row.entries())
      if (dark)
        for (let dy = 0; dy < scale; dy++)
          points.fill(
            0,
            ((margin + y * scale + dy) * size + margin + x * scale) * 4,
            ((margin + y * scale + dy) * size + margin + (x + 1) * scale) * 4,
          )
  for (let i = 3; i < points.length; i += 4) points[i] = 255
  return scan(points, size, size)?.data
}

test('a code of digits is read by a reader that somebody else wrote', () => {
  for (const digits of [
    '012077795039704695604857449926748545496120438166329138755914',
    '0',
    '12',
    '9'.repeat(60),
    '00000'.repeat(12),
  ])
    assert.equal(seen(qrOfDigits(digits)), digits)
  assert.throws(() => qrOfDigits('1'.repeat(64)), RangeError)
  assert.throws(() => qrOfDigits('12 34'), RangeError)
})
