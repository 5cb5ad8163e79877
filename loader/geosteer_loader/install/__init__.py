"""Setting a host up: `geosteer init` writes all files, `geosteer doctor` checks the whole chain."""
