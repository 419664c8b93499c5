/**
 * What runs in browsers: the page of an invited person (`guest/`), the client for trying (`app/`), the parts that both are
 * made of (`parts/`) and their words (`texts/`). Each folder with an index.html is a page; `scripts/pages` builds them.
 *
 * It stands on the client SDK as any app would. It may know no server code, load nothing from elsewhere, write no markup
 * from text, and keep nothing outside of IndexedDB; what stands behind the # of a guest's link never leaves the browser.
 */
export { type Language, languages, type Texts } from './texts/index.ts'
