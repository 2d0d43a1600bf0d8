# bash completion for rauthbindctl(8)                      -*- shell-script -*-

_rauthbindctl()
{
    local cur prev words cword split
    # "@" begins a group, and ":" is in addresses.
    _init_completion -s -n @: || return

    local commands='allow revoke list explain doctor import export apply help'
    if ((cword == 1)); then
        COMPREPLY=($(compgen -W "$commands -h --help -V --version" -- "$cur"))
        return
    fi

    # Arguments of the command that are neither options nor theirs.
    local command=${words[1]} i count=0
    for ((i = 2; i < cword; i++)); do
        case ${words[i]} in
            --)
                [[ $command == doctor ]] && _command_offset $((i + 1))
                return
                ;;
            --addr | --user) ((i++)) ;;
            -*) ;;
            *) ((count++)) ;;
        esac
    done

    case $prev in
        --addr) return ;;
        --user)
            COMPREPLY=($(compgen -u -- "$cur"))
            return
            ;;
    esac

    if [[ $cur == -* ]]; then
        local options=
        case $command in
            allow) options='--addr --yes' ;;
            revoke) options='--addr' ;;
            list) options='--user --json' ;;
            explain) options='--user --addr -q --quiet --json' ;;
            doctor) options='--' ;;
            import) options='--apply' ;;
            apply) options='--check' ;;
        esac
        COMPREPLY=($(compgen -W "$options -h --help" -- "$cur"))
        return
    fi

    case $command:$count in
        allow:0 | revoke:0 | explain:0) COMPREPLY=($(compgen -s -- "$cur")) ;;
        allow:* | revoke:*)
            case $cur in
                @*) COMPREPLY=($(compgen -P @ -g -- "${cur#@}")) ;;
                *) COMPREPLY=($(compgen -u -- "$cur")) ;;
            esac
            ;;
        import:0) _filedir -d ;;
        apply:0) _filedir ;;
        help:0) COMPREPLY=($(compgen -W "$commands" -- "$cur")) ;;
    esac
} &&
    complete -F _rauthbindctl rauthbindctl

# ex: filetype=sh
