import { en, type Texts } from './en.ts'

export const ro: Texts = { ...en }
