"""Requests in, recommendations out: ranking, filters, diversity, reasons, hot swap of models.

Read `agent.py` first: its six steps are the room's whole day. `answer.py` turns records into
answers, `recommend.py` makes the lists with the help of `index.py` (filters), `diversity.py`,
`reasons.py` and `fallback.py`; `swap.py` changes the model between two batches, `push.py` decides
which events are answered unasked. `consume_kafka.py` and `send_kafka.py` are the edges.
"""
