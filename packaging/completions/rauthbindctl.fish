# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_rauthbindctl_global_optspecs
    string join \n h/help V/version
end

function __fish_rauthbindctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_rauthbindctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_rauthbindctl_using_subcommand
    set -l cmd (__fish_rauthbindctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c rauthbindctl -n "__fish_rauthbindctl_needs_command" -s h -l help -d 'Print help'
complete -c rauthbindctl -n "__fish_rauthbindctl_needs_command" -s V -l version -d 'Print version'
complete -c rauthbindctl -n "__fish_rauthbindctl_needs_command" -f -a "allow" -d 'Let users or groups bind ports'
complete -c rauthbindctl -n "__fish_rauthbindctl_needs_command" -f -a "revoke" -d 'Take back what allow gives, from the next bind on'
complete -c rauthbindctl -n "__fish_rauthbindctl_needs_command" -f -a "list" -d 'Show who may bind what, and which rules have no effect'
complete -c rauthbindctl -n "__fish_rauthbindctl_needs_command" -f -a "explain" -d 'Show why a user may bind a port, or why not'
complete -c rauthbindctl -n "__fish_rauthbindctl_needs_command" -f -a "doctor" -d 'Look for what is wrong with the installation, or with a command under rauthbind'
complete -c rauthbindctl -n "__fish_rauthbindctl_needs_command" -f -a "import" -d 'Take over the rules of authbind'
complete -c rauthbindctl -n "__fish_rauthbindctl_needs_command" -f -a "export" -d 'Print all grants as one text, which apply reads'
complete -c rauthbindctl -n "__fish_rauthbindctl_needs_command" -f -a "apply" -d 'Make the rules be what a text says'
complete -c rauthbindctl -n "__fish_rauthbindctl_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand allow" -l addr -d 'Only this address; or, for users, those of a range (A-B) or network (A/LENGTH)' -r
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand allow" -l yes -d 'Grant ports 512 to 1023 too, which some hosts take for a proof that root is speaking'
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand allow" -s h -l help -d 'Print help'
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand revoke" -l addr -d 'Only this address; or, for users, those of a range (A-B) or network (A/LENGTH)' -r
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand revoke" -s h -l help -d 'Print help'
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand list" -l user -d 'Only what this user may bind' -r -f -a "(__fish_complete_users)"
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand list" -l json -d 'For programs; the form is told in rauthbindctl(8)'
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand list" -s h -l help -d 'Print help'
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand explain" -l user -d 'Of this user (only root can ask for others)' -r -f -a "(__fish_complete_users)"
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand explain" -l addr -d 'At this address, in the place of 0.0.0.0 and ::' -r
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand explain" -s q -l quiet -d 'Print nothing; the exit status tells'
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand explain" -l json -d 'For programs; the form is told in rauthbindctl(8)'
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand explain" -s h -l help -d 'Print help'
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand import" -l apply -d 'Write the rules; without it they are only shown'
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand import" -s h -l help -d 'Print help'
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand export" -s h -l help -d 'Print help'
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand apply" -l check -d 'Change nothing: show the difference, and tell by the exit status whether there is one'
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand apply" -s h -l help -d 'Print help'
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand help; and not __fish_seen_subcommand_from allow revoke list explain doctor import export apply help" -f -a "allow" -d 'Let users or groups bind ports'
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand help; and not __fish_seen_subcommand_from allow revoke list explain doctor import export apply help" -f -a "revoke" -d 'Take back what allow gives, from the next bind on'
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand help; and not __fish_seen_subcommand_from allow revoke list explain doctor import export apply help" -f -a "list" -d 'Show who may bind what, and which rules have no effect'
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand help; and not __fish_seen_subcommand_from allow revoke list explain doctor import export apply help" -f -a "explain" -d 'Show why a user may bind a port, or why not'
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand help; and not __fish_seen_subcommand_from allow revoke list explain doctor import export apply help" -f -a "doctor" -d 'Look for what is wrong with the installation, or with a command under rauthbind'
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand help; and not __fish_seen_subcommand_from allow revoke list explain doctor import export apply help" -f -a "import" -d 'Take over the rules of authbind'
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand help; and not __fish_seen_subcommand_from allow revoke list explain doctor import export apply help" -f -a "export" -d 'Print all grants as one text, which apply reads'
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand help; and not __fish_seen_subcommand_from allow revoke list explain doctor import export apply help" -f -a "apply" -d 'Make the rules be what a text says'
complete -c rauthbindctl -n "__fish_rauthbindctl_using_subcommand help; and not __fish_seen_subcommand_from allow revoke list explain doctor import export apply help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
