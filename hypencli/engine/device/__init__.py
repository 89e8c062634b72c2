"""Search on an accelerator: vectors streamed or resident, and the best k kept on the device.

No part of it asks for a GPU: on a CPU the same code runs without pinned memory and streams, and the
tests run it there. The project has no GPU, so what only a GPU does was not run.
"""
