-- Locks a lease's row until the transaction ends; raises SL001 when somebody else holds the lease by now. So the check can go to
-- the server together with the commit that it forbids.
create function hold_lease(lease_name text, lease_fence int8) returns void language plpgsql as $$
begin
  perform 1 from lease where name = lease_name and fence = lease_fence for share;
  if not found then
    raise exception using errcode = 'SL001', message = 'the lease is held by somebody else';
  end if;
end
$$;
