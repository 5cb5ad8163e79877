"""One module per input format; all give rows: address bits, first address, prefix length, record."""
