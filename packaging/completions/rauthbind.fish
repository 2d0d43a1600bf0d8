# fish completion for rauthbind(1)

# Prints the command and its arguments, NUL-separated; false where there is no command yet.
function __fish_rauthbind_command
    set -l words (commandline -opc) (commandline -ct)
    argparse --stop-nonopt u= g= user-env mode= depth= deep v/verbose h/help V/version -- $words[2..] 2>/dev/null
    and test -n "$argv[1]"
    and string join0 -- $argv
end

function __fish_rauthbind_no_command
    not __fish_rauthbind_command >/dev/null
end

function __fish_rauthbind_complete_command
    set -l command (__fish_rauthbind_command | string split0)
    __fish_complete_subcommand --commandline $command
end

complete -c rauthbind -x -a "(__fish_rauthbind_complete_command)"
complete -c rauthbind -n __fish_rauthbind_no_command -s u -x -a "(__fish_complete_users)" -d "Become USER first (only root can)"
complete -c rauthbind -n __fish_rauthbind_no_command -s g -x -a "(__fish_complete_groups)" -d "With -u: make GROUP the primary group"
complete -c rauthbind -n __fish_rauthbind_no_command -l user-env -d "With -u: set HOME, USER, LOGNAME and SHELL for USER"
complete -c rauthbind -n __fish_rauthbind_no_command -l mode -x -a "auto preload supervise" -d "How binds are reached"
complete -c rauthbind -n __fish_rauthbind_no_command -l depth -x -a "1 2 3" -d "Cover only so many levels of programs"
complete -c rauthbind -n __fish_rauthbind_no_command -l deep -d "Cover every program that COMMAND starts (default)"
complete -c rauthbind -n __fish_rauthbind_no_command -s v -l verbose -d "Say on standard error what is done"
complete -c rauthbind -n __fish_rauthbind_no_command -s h -l help -d "Show help and exit"
complete -c rauthbind -n __fish_rauthbind_no_command -s V -l version -d "Show the version and exit"
