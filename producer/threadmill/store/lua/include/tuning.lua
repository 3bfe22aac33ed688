-- The parameters of the limiter, chosen by simulation: scripts/bench_limits_simulation.py. Rates are starts per second.
local tuning = {
  -- A row of starts
  BURST_S = 0.25,  -- an idle pool may start as many at once as its limits allow in this time, and always one
  LOOKAHEAD_S = 1.5,  -- jobs are dispatched while the row is shorter
  UNKNOWN_S = 10,  -- how long the first jobs of a pool have to tell its limits
  DISPATCH = 0.8,  -- dispatches follow each other in this share of the time between starts: the row never runs dry
  RESERVE_S = 60,  -- a start that would wait for longer gets no place in the row
  RESERVE_LEARNING_S = 2,  -- likewise while the rate is learned and may soon be another;
  RESERVE_STARTS = 8,  -- the next of them always get a place
  EARLY_S = 0.005,  -- a ticket is good so long before its time,
  LATE_S = 1,  -- and so long after it
  ASK_CONCURRENT_S = 1,  -- time to ask again, at most, when as many jobs run as may,
  ASKED_S = 0.1,  -- how much later than that a job may come
  ASK_PAUSED_S = 5,  -- when an operator has paused the endpoint,
  ASK_PROBE_S = 0.1,  -- while a probe is out,
  ASK_WINDOW_S = 0.2,  -- and, at most, when the window is full
  TOKENS_WEIGHT = 0.05,  -- of a job in the mean of what jobs use of the tokens that were estimated for them
  -- A pool that was never refused
  WINDOW = 8,  -- starts without a reply, at the beginning; each accepted start adds one
  UNANSWERED_S = 1,  -- a start without a reply for so long counts as accepted
  -- A pool that was refused
  PAUSE_S = 0.5,  -- how long it is shut if the server does not say; doubles with each refusal in a row
  LONGEST_PAUSE_S = 30,
  LONGEST_SHUT_S = 3600,  -- whatever the server says
  PROBE_S = 2,  -- a probe without a reply for so long counts as accepted
  DOWN_S = 10,  -- a server that fails is down for so long
  OUT_S = 5,  -- jobs with a fallback use it while a pool is shut for longer
  -- The rate that is learned from refusals
  MEASURED_S = 1,  -- time constant of the measured rate
  FIRST_RATE = 2,  -- after the first refusal, at least
  LOWEST_RATE = 0.5,
  TRUSTED_SHARE = 0.6,  -- after a refusal, the measured rate counts, or this share of the rate if that is more
  GROWTH = 1,  -- slow start: added to the rate by each accepted start
  BETA = 0.85,  -- CUBIC: a refusal cuts the rate to this share; it is the old one again
  PLATEAU_S = 4,  -- after so long,
  PLATEAU_STARTS = 20,  -- or after so many starts, if that is later
  HEADROOM = 2,  -- the rate grows to so many times the measured one at most
  BELOW = 0.95,  -- a refusal at less than this share of the rate before the last cut changes nothing
  ACCEPTED_BELOW = 3,  -- if so many starts were accepted since the refusal before: some servers refuse at random
  ACCEPTED_RARELY = 8,  -- after so many, the rate counts as it is, not as it was measured
  CUT_PAUSE = 2,  -- a cut without a time from the server shuts the pool for so many starts
  -- The number of jobs at a time that is learned from refusals
  GUESS_ABOVE = 1.2,  -- a guess is wrong if so many times more jobs are accepted,
  GUESS_BELOW = 0.85,  -- or if a start is refused while this share of them has started;
  CONFIRMED = 8,  -- it is confirmed by a refused test, after so many accepted starts
  GUESS_AGAIN_S = 300,  -- while a rate is learned, a number is guessed so often
  NUMBER_BETA = 0.95,  -- a refusal cuts the number to this share, or by one; it is the old one again
  NUMBER_STARTS = 80,  -- after so many accepted starts, or as many as the number, if that is more
  NUMBER_HEADROOM = 1.25,  -- the number grows to so many times the jobs with a permit at most
  CONTRADICTIONS = 5,  -- so many refusals in a row below the old number, with starts accepted between, show a rate
  -- The limits that the server's headers tell
  SHARE = 0.99,  -- of a limit is used, because calls overtake each other on their way
  SHORT_RESET_S = 12,  -- limits with shorter resets only may be per second or per 10 seconds
  LONG_RESET_S = 66,  -- limits with longer resets are not per minute
  -- Keeping
  KEEP_S = 3600,  -- a pool without starts is forgotten after so long
  KEEP_JOBS_S = 604800,  -- its jobs likewise
  RECLAIM_S = 1,  -- how often permits of ended jobs are looked for when the pool is full,
  RECLAIMED = 100,  -- among so many
}
