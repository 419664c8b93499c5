-- Those past their time are looked for every hour.
create index portal_late_event_at on portal_late_event (created_at);
