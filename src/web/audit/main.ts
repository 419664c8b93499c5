// The auditors' page: a log is opened with a credential and the log's key, and everything that is shown was verified here.
import { h, render } from 'preact'
import { AuditPage } from './audit-page.tsx'
import { openSession } from './session.ts'

render(
  h(AuditPage, { session: openSession({ base: '/audit', host: location.host }) }),
  document.getElementById('page')!,
)
