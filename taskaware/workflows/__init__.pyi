from .addition import add_task as add_task
from .first_run import quickstart as quickstart
from .pseudo_labels import pseudo_label as pseudo_label
from .rehearsal import dry_run as dry_run
from .sharing import shareable as shareable
