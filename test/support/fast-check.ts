import fc from 'fast-check'

/**
 * fast-check for every property test of the project, with one seed: a run that failed fails again. `SILTA_SEED=random`
 * takes another seed each time and prints it, `SILTA_SEED=<integer>` a certain one. Any seed will do as the usual one.
 */
const USUAL_SEED = 20_260_401

const wanted = process.env.SILTA_SEED ?? ''
const seed =
  wanted === '' ? USUAL_SEED : wanted === 'random' ? Math.floor(Math.random() * 2 ** 31) : Number.parseInt(wanted, 10)
if (!Number.isSafeInteger(seed)) throw new Error('SILTA_SEED is neither "random" nor an integer')
if (wanted !== '') console.log(`SILTA_SEED=${seed}`)
fc.configureGlobal({ ...fc.readConfigureGlobal(), seed })

export default fc
