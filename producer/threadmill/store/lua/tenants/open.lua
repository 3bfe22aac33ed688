-- Counts the open jobs of a tenant. Corrects some entries of jobs that ended and stayed in the list: an older version
-- ended them, or somebody deleted their records.
-- request: tenant
-- reply: open, number
-- include: jobs, tenants

local tenant = request.tenant
for _, id in ipairs(tenants.some(tenant, 'open')) do
  local state = jobs.state(id)
  if not state then
    redis.call('ZREM', keys.tenant_jobs(tenant, 'open'), id)
  elseif jobs.has_ended(state) then
    tenants.list(tenant, id, redis.call('HGET', keys.record(id), 'created_at'), 'ended')
  end
end
return {'open', redis.call('ZCARD', keys.tenant_jobs(tenant, 'open'))}
