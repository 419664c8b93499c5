-- Requests of Matrix users that were not answered yet, as far as is known here.
create index portal_asked on portal (changed_at) where kind = 'direct' and state = 'requested';
