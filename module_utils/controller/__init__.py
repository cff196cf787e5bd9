# SPDX-License-Identifier: GPL-3.0-or-later
"""What action plugins share. It runs on the controller only and is not sent with any module.

Ansible imports an action plugin before it forks the workers. The playbooks and variables that it has loaded by then
live until the end of the run, and a worker ends after one task. Without these settings, garbage collections in the
workers, which would examine all of that, take a tenth of the processor time of a run.
"""

import gc

gc.freeze()
gc.set_threshold(200_000, 30, 30)
