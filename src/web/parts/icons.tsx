import type { MessageState } from './rows.ts'

const paths = {
  send: 'M4 12 20 4l-6 17-3-7z M11 14l9-10',
  reply: 'M10 6 4 12l6 6 M4 12h9a7 7 0 0 1 7 7',
  menu: 'M12 5.5v.01 M12 12v.01 M12 18.5v.01',
  close: 'M6 6l12 12 M18 6 6 18',
  down: 'M12 5v14 M6 13l6 6 6-6',
  back: 'M15 5l-7 7 7 7',
  lock: 'M6 11h12v9H6z M9 11V8a3 3 0 0 1 6 0v3',
  eye: 'M3 12s3.5-6 9-6 9 6 9 6-3.5 6-9 6-9-6-9-6z M12 9.5v5 M9.5 12h5',
  page: 'M6 4h12v16H6z M9 9h6 M9 13h6',
  hourglass: 'M7 4h10 M7 20h10 M8 4c0 4 8 5 8 8s-8 4-8 8 M16 4c0 4-8 5-8 8s8 4 8 8',
  waiting: 'M12 7v5l3 2 M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16',
  sent: 'M5 12.5l4.5 4.5L19 7.5',
  delivered: 'M2 12.5l4.5 4.5L16 7.5 M11 16l1 1L21.5 7.5',
  read: 'M2 12.5l4.5 4.5L16 7.5 M11 16l1 1L21.5 7.5',
  refused: 'M12 6v8 M12 17.5v.01 M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18',
  plus: 'M12 5v14 M5 12h14',
} as const

export type IconName = keyof typeof paths

export function Icon({ name }: { name: IconName | MessageState }) {
  return (
    <svg class={`icon icon-${name}`} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  )
}

/** The one ornament. */
export function Bridge() {
  return (
    <svg class="bridge" viewBox="0 0 400 90" aria-hidden="true" focusable="false" preserveAspectRatio="xMidYMax meet">
      <path d="M0 60h400" />
      <path d="M100 12v70 M300 12v70" />
      <path d="M0 52C40 48 80 32 100 12c40 54 160 54 200 0 20 20 60 36 100 40" />
      <path
        class="thin"
        d="M20 49v11 M40 43v17 M60 35v25 M80 26v34 M120 29v31 M140 40v20 M160 47v13 M180 51v9 M200 52v8 M220 51v9 M240 47v13 M260 40v20 M280 29v31 M320 26v34 M340 35v25 M360 43v17 M380 49v11"
      />
      <path
        class="water"
        d="M0 82c20-6 30 6 50 0s30 6 50 0 30 6 50 0 30 6 50 0 30 6 50 0 30 6 50 0 30 6 50 0 30 6 50 0"
      />
    </svg>
  )
}
