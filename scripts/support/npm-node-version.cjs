// Loaded into npm (node --require) where it runs on an older Node than its packages will: npm leaves an optional package
// out when the Node that it runs on is too old for it, and a native part of a tool would be missing.
const { packages } = require('../../package-lock.json')

const own = packages[`node_modules/node-${process.platform}-${process.arch}`]
if (own) Object.defineProperty(process, 'version', { value: `v${own.version}` })
