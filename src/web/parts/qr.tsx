/** Light around a code, modules: two are less than the standard asks for, and the card is light besides. */
const border = 2

/** A QR code, drawn. `label`: what it is, for whoever cannot see it. */
export function QrCode({ modules, label }: { modules: readonly (readonly boolean[])[]; label: string }) {
  const size = modules.length + 2 * border
  // One run of dark modules in a row is one stroke, so that it stays small.
  const runs = modules.flatMap((row, y) =>
    [
      ...row
        .map((dark) => (dark ? '1' : '0'))
        .join('')
        .matchAll(/1+/g),
    ].map(({ 0: run, index }) => `M${index + border} ${y + border}h${run.length}v1h-${run.length}z`),
  )
  return (
    <svg class="qr" viewBox={`0 0 ${size} ${size}`} role="img" aria-label={label} shape-rendering="crispEdges">
      <rect width={size} height={size} fill="#fff" />
      <path d={runs.join('')} fill="#000" />
    </svg>
  )
}
