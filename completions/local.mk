# The file is named after the command, which is how bash-completion finds it.
bashcompletiondir = $(datadir)/bash-completion/completions
dist_bashcompletion_DATA = completions/booky-sync
