-- What each auditor was admitted for, as a digest over credential, scopes and end: the file beside the database counts only
-- as far as it says the same. Those admitted before are admitted anew at the next start, with an entry each.
delete from audit.auditor;
alter table audit.auditor add column digest bytea;
