-- For the scripts in producer/threadmill/store/lua, which Redis runs. store/scripts.py defines these names in each script.
std = 'lua51'
max_line_length = 120
read_globals = {
  'redis', 'cjson', 'ARGV', 'request', 'keys', 'FORMAT', 'QUEUE', 'MESSAGE',
  'clock', 'json', 'batches', 'jobs', 'turns', 'threads', 'endpoints', 'slots', 'flows', 'queue',
  'limits', 'headers', 'learning', 'permits', 'rows', 'pools', 'tuning', 'passes', 'callbacks', 'tenants', 'webhooks',
  'failures', 'stats', 'numbers',
}
files['**/include/*.lua'] = {ignore = {'211', '241', '431'}}  -- each defines a table for the scripts that include it
