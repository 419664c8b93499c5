export interface Line {
  readonly name: string
  readonly points: readonly { readonly x: number; readonly y: number }[]
}

/** Lines are told apart by colour, by dashes and by the form of their points, so that no one needs the colour. */
const forms = ['circle', 'square', 'diamond', 'triangle', 'cross'] as const
const box = { width: 720, height: 260, left: 70, right: 16, top: 14, bottom: 34 }

/** A chart of lines over time. All its figures stand in the table beside it, which is what is read aloud. */
export function Chart(props: {
  title: string
  lines: readonly Line[]
  at: (x: number) => string
  value: (y: number) => string
}) {
  const { title, lines, at, value } = props
  const points = lines.flatMap((line) => line.points)
  const [firstX, lastX] = [Math.min(...points.map(({ x }) => x)), Math.max(...points.map(({ x }) => x))]
  const top = roundUp(Math.max(...points.map(({ y }) => y), 0))
  const across = (x: number) =>
    lastX === firstX
      ? (box.left + box.width - box.right) / 2
      : box.left + ((x - firstX) / (lastX - firstX)) * (box.width - box.left - box.right)
  const up = (y: number) => box.height - box.bottom - (y / top) * (box.height - box.top - box.bottom)
  const shares = [0, 0.25, 0.5, 0.75, 1]
  const moments = [...new Set([firstX, (firstX + lastX) / 2, lastX])]
  return (
    <figure class="chart">
      <figcaption>{title}</figcaption>
      <ul class="legend">
        {lines.map(({ name }, i) => (
          <li key={name}>
            <svg viewBox="0 0 40 16" aria-hidden="true" focusable="false" class={`line line-${i % forms.length}`}>
              <path d="M2 8h36" />
              <Point form={forms[i % forms.length]!} x={20} y={8} />
            </svg>
            <bdi>{name}</bdi>
          </li>
        ))}
      </ul>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls is reached by keyboard */}
      <section class="scroll" dir="ltr" aria-label="Chart" tabIndex={0}>
        <svg
          viewBox={`0 0 ${box.width} ${box.height}`}
          role="img"
          aria-label={`${title}. The figures are in the table below.`}
        >
          {shares.map((part) => (
            <g key={part} class="grid">
              <path d={`M${box.left} ${up(part * top)}H${box.width - box.right}`} />
              <text x={box.left - 8} y={up(part * top) + 4} text-anchor="end">
                {value(part * top)}
              </text>
            </g>
          ))}
          {moments.map((x, i) => (
            <text
              key={x}
              class="grid"
              x={across(x)}
              y={box.height - 10}
              text-anchor={
                i === 0 && moments.length > 1 ? 'start' : i === moments.length - 1 && i > 0 ? 'end' : 'middle'
              }
            >
              {at(x)}
            </text>
          ))}
          {lines.map((line, i) => (
            <g key={line.name} class={`line line-${i % forms.length}`}>
              <path
                d={line.points
                  .map(({ x, y }, n) => `${n === 0 ? 'M' : 'L'}${across(x).toFixed(1)} ${up(y).toFixed(1)}`)
                  .join('')}
              />
              {line.points.map(({ x, y }) => (
                <Point key={x} form={forms[i % forms.length]!} x={across(x)} y={up(y)} />
              ))}
            </g>
          ))}
        </svg>
      </section>
    </figure>
  )
}

function Point({ form, x, y }: { form: (typeof forms)[number]; x: number; y: number }) {
  const place = (dx: number, dy: number) => `${(x + dx).toFixed(1)} ${(y + dy).toFixed(1)}`
  switch (form) {
    case 'circle':
      return <circle class="point" cx={x} cy={y} r={4} />
    case 'square':
      return <path class="point" d={`M${place(-4, -4)}L${place(4, -4)}L${place(4, 4)}L${place(-4, 4)}Z`} />
    case 'diamond':
      return <path class="point" d={`M${place(0, -5)}L${place(5, 0)}L${place(0, 5)}L${place(-5, 0)}Z`} />
    case 'triangle':
      return <path class="point" d={`M${place(0, -5)}L${place(5, 4)}L${place(-5, 4)}Z`} />
    case 'cross':
      return <path d={`M${place(-4, -4)}L${place(4, 4)}M${place(-4, 4)}L${place(4, -4)}`} />
  }
}

/** The next 1, 2 or 5 with zeros: a scale that can be read. */
function roundUp(value: number): number {
  if (value <= 0) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value) ?? value
}
