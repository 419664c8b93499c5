/**
 * What runs in browsers: the page of an invited person (`guest/`), the client for trying (`app/`), the auditors' page
 * (`audit/`), the parts that they are made of (`parts/`) and their words (`texts/`). Each folder with an index.html is a page; `scripts/pages` builds them.
 *
 * It stands on the client SDK as any app would, and the auditors' page on the log's format (`audit/log`, `audit/reading`). It may know no server code, load nothing from elsewhere, write no markup
 * from text, and keep nothing outside of IndexedDB (the auditors' page: a checkpoint and a public key in localStorage, the
 * credential as long as the tab); what stands behind the # of a guest's link never leaves the browser.
 */
export { type Language, languages } from './texts/index.ts'
