-- Devices that were unlinked long ago are forgotten.
create index device_unlinked on hub.device (unlinked_at) where unlinked_at is not null;
