"""Make strains carry predictions in many transactions, as tens of millions of them do."""

from genograph import writeback

writeback.PROMOTED_AT_ONCE = 10
