import older from 'jsqr'
import { useEffect, useRef, useState } from 'preact/hooks'
import { say } from '../parts/language.ts'

type Decode = (points: Uint8ClampedArray, width: number, height: number) => { data: string } | null
/** A module in an older format: what it exports is under `default` once more. */
const decode = ((older as { default?: unknown }).default ?? older) as Decode

interface Detector {
  detect(source: HTMLVideoElement): Promise<{ rawValue: string }[]>
}
type DetectorMaker = new (options: { formats: string[] }) => Detector

/** Pictures a second that are looked at: enough for a hand that is held still, and little work for a phone. */
const looksPerSecond = 8

/** Looks for a QR code through the camera until one is seen. What the camera sees goes nowhere. */
export function Scanner({ onCode, onStop }: { onCode: (text: string) => void; onStop: () => void }) {
  const video = useRef<HTMLVideoElement>(null)
  const [failed, setFailed] = useState(false)
  useEffect(() => {
    let stream: MediaStream | undefined
    let timer: ReturnType<typeof setInterval> | undefined
    let stopped = false
    const stop = () => {
      stopped = true
      clearInterval(timer)
      for (const track of stream?.getTracks() ?? []) track.stop()
    }
    const begin = async () => {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } })
      const element = video.current
      if (stopped || !element) return stop()
      element.srcObject = stream
      await element.play()
      const look = lookerFor(element)
      let busy = false
      timer = setInterval(async () => {
        if (busy || stopped) return
        busy = true
        const text = await look().catch(() => undefined)
        busy = false
        if (!text || stopped) return
        stop()
        onCode(text)
      }, 1000 / looksPerSecond)
    }
    begin().catch(() => setFailed(true))
    return stop
  }, [])
  return (
    <>
      {failed ? <p class="note">{say('link.scan.none')}</p> : <video ref={video} muted playsInline />}
      <button type="button" class="quiet" onClick={onStop}>
        {say('link.scan.stop')}
      </button>
    </>
  )
}

/** The browser's own detector where there is one. */
function lookerFor(video: HTMLVideoElement): () => Promise<string | undefined> {
  const Own = (globalThis as { BarcodeDetector?: DetectorMaker }).BarcodeDetector
  if (Own) {
    const detector = new Own({ formats: ['qr_code'] })
    return async () => (await detector.detect(video))[0]?.rawValue
  }
  const canvas = document.createElement('canvas')
  const context = canvas.getContext('2d', { willReadFrequently: true })
  return async () => {
    const { videoWidth: width, videoHeight: height } = video
    if (!context || width === 0) return undefined
    canvas.width = width
    canvas.height = height
    context.drawImage(video, 0, 0)
    return decode(context.getImageData(0, 0, width, height).data, width, height)?.data
  }
}
