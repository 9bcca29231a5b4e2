# The sample configuration names every setting with its default.
examplesdir = $(docdir)/examples
dist_examples_DATA = docs/examples/booky-sync.conf
