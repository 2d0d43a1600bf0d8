# fish completion for rauthbindctl(8)

function __fish_rauthbindctl_no_command
    test (count (commandline -opc)) -eq 1
end

# Whether the command is one of those given.
function __fish_rauthbindctl_command
    set -l words (commandline -opc)
    contains -- "$words[2]" $argv
end

# Whether the ports, the first argument of the command, are there.
function __fish_rauthbindctl_has_ports
    set -l words (commandline -opc)
    argparse -i addr= user= -- $words[3..] 2>/dev/null
    and string match -qv -- '-*' $argv
end

function __fish_rauthbindctl_groups
    __fish_complete_groups | string replace -r '^' @
end

# What follows -- after doctor.
function __fish_rauthbindctl_complete_command
    set -l words (commandline -opc) (commandline -ct)
    set -l at (contains -i -- -- $words)
    and __fish_complete_subcommand --commandline $words[(math $at + 1)..]
end

complete -c rauthbindctl -f
complete -c rauthbindctl -n __fish_rauthbindctl_no_command -a allow -d "Let users or groups bind ports"
complete -c rauthbindctl -n __fish_rauthbindctl_no_command -a revoke -d "Take back what allow gives"
complete -c rauthbindctl -n __fish_rauthbindctl_no_command -a list -d "Show who may bind what"
complete -c rauthbindctl -n __fish_rauthbindctl_no_command -a explain -d "Show why a user may bind a port, or why not"
complete -c rauthbindctl -n __fish_rauthbindctl_no_command -a doctor -d "Look for what is wrong"
complete -c rauthbindctl -n __fish_rauthbindctl_no_command -a import -d "Take over the rules of authbind"
complete -c rauthbindctl -n __fish_rauthbindctl_no_command -a export -d "Print all grants as one text"
complete -c rauthbindctl -n __fish_rauthbindctl_no_command -a apply -d "Make the rules be what a text says"
complete -c rauthbindctl -n __fish_rauthbindctl_no_command -a help -d "Show help"
complete -c rauthbindctl -n __fish_rauthbindctl_no_command -s V -l version -d "Show the version"
complete -c rauthbindctl -s h -l help -d "Show help"
complete -c rauthbindctl -n "__fish_rauthbindctl_command allow revoke; and __fish_rauthbindctl_has_ports" -a "(__fish_complete_users)"
complete -c rauthbindctl -n "__fish_rauthbindctl_command allow revoke; and __fish_rauthbindctl_has_ports" -a "(__fish_rauthbindctl_groups)"
complete -c rauthbindctl -n "__fish_rauthbindctl_command allow revoke explain" -l addr -x -d "At this address only"
complete -c rauthbindctl -n "__fish_rauthbindctl_command allow" -l yes -d "Grant ports 512 to 1023 too"
complete -c rauthbindctl -n "__fish_rauthbindctl_command list explain" -l user -x -a "(__fish_complete_users)" -d "For this user"
complete -c rauthbindctl -n "__fish_rauthbindctl_command list explain" -l json -d "For programs"
complete -c rauthbindctl -n "__fish_rauthbindctl_command explain" -s q -l quiet -d "Print nothing"
complete -c rauthbindctl -n "__fish_rauthbindctl_command doctor" -a "(__fish_rauthbindctl_complete_command)"
complete -c rauthbindctl -n "__fish_rauthbindctl_command import" -a "(__fish_complete_directories)"
complete -c rauthbindctl -n "__fish_rauthbindctl_command import" -l apply -d "Change the rules"
complete -c rauthbindctl -n "__fish_rauthbindctl_command apply" -F
complete -c rauthbindctl -n "__fish_rauthbindctl_command apply" -l check -d "Change nothing, show what would change"
complete -c rauthbindctl -n "__fish_rauthbindctl_command help" -a "allow revoke list explain doctor import export apply"
