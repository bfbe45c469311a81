"""Import Prefect and leave other libraries' log handlers open; a test of flows imports this first.

Prefect configures logging when it is imported, which closes every handler that is there. absl's handler, which came
with Keras, then closes the stream it writes to, and under pytest that is the captured stderr of all later tests.
"""

import logging

_handlers = logging._handlerList[:]
logging._handlerList.clear()  # what is not listed is not closed

import prefect.main  # noqa: E402, F401

logging._handlerList[:0] = _handlers
