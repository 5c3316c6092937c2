"""A cluster that is not there: callers, queues and engines in simulated time (`capacity.py`).

Times are seconds of the simulation. The policies are the server's own code (`realtime.batching`,
`realtime.deadlines`, `realtime.allowance`, `realtime.endpointing`); what they decide about takes
as long as a file of service times says.
"""
