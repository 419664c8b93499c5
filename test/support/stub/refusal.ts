/** What a homeserver answers instead of a result. */
export class Refusal extends Error {
  readonly status: number
  readonly errcode: string
  constructor(status: number, errcode: string) {
    super(errcode)
    this.status = status
    this.errcode = errcode
  }
}
