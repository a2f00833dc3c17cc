"""Make loads and restores go in as many small transactions, as tens of millions of rows do."""

from genograph.database import spool
from genograph.store.embedded import EmbeddedStore

EmbeddedStore.transaction_bytes = 20_000
spool.ROWS_AT_ONCE = 1_000
spool.BYTES_AT_ONCE = 50_000
