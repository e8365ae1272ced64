"""The operator's pages, of which the receiver knows nothing. All but `opening` is imported when one is first asked."""
