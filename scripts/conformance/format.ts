// What a format gives to `npm run conformance`, and what it reports.

export interface FileResult {
  passed: number
  /** Also cases of a ciphersuite that is not built in: what was not shown to hold is not passed over. */
  failed: number
  /** What happened to cases that did not pass, or is to be known of those that did → how many cases. */
  reasons: Map<string, number>
}

export interface ConformanceFormat {
  /** Whether a file that was found in a folder is one of this format; others there are passed over. */
  accepts(path: string): boolean
  /** Runs the cases in one file. May throw: that is a failure of the file, not of the run. */
  run(path: string): FileResult | Promise<FileResult>
}
