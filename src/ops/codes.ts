/** A name from a closed set: letters, digits, `_`, `.`, `-`. No address of any kind (`@`, `:`, `/`) has this form. */
const code = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$|^\d{1,3}(\.\d{1,3}){2}$/
/** IPv4 addresses, phone numbers and host names have the form of a code too. */
const address = /^\+?\d[\d.]{6,}$|\d+\.\d+\.\d+\.\d+|\.(com|org|net|example|local)$/i

/** Whether this can only be a name that the code gave, and no address, number or name of a person's. */
export function isCode(value: unknown): value is string {
  return typeof value === 'string' && code.test(value) && !address.test(value)
}
