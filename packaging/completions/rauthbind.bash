# bash completion for rauthbind(1)                         -*- shell-script -*-

_rauthbind()
{
    local cur prev words cword
    _init_completion || return

    # The command begins at the first word that is neither an option nor the
    # argument of one; from there on everything is the command's own. The
    # words are bash's, in which "=" is a word of its own: _command_offset
    # counts in these.
    local i word wants=
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $wants ]]; then
            [[ $word == = ]] || wants=
            continue
        fi
        case $word in
            --)
                _command_offset $((i + 1))
                return
                ;;
            --depth) wants=levels ;;
            --mode) wants=mode ;;
            -*([vhV])u) wants=user ;;
            -*([vhV])g) wants=group ;;
            -*) ;;
            *)
                _command_offset "$i"
                return
                ;;
        esac
    done

    [[ $cur == = ]] && cur=
    case $wants in
        user) COMPREPLY=($(compgen -u -- "$cur")) ;;
        group) COMPREPLY=($(compgen -g -- "$cur")) ;;
        mode) COMPREPLY=($(compgen -W 'auto preload supervise' -- "$cur")) ;;
        levels) COMPREPLY=($(compgen -W '1 2 3' -- "$cur")) ;;
        *)
            if [[ $cur == -* ]]; then
                COMPREPLY=($(compgen -W '-u -g --user-env --mode --depth --deep
                    -v --verbose -h --help -V --version' -- "$cur"))
            else
                _command_offset "$COMP_CWORD"
            fi
            ;;
    esac
} &&
    complete -F _rauthbind rauthbind

# ex: filetype=sh
