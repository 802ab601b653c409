Field = fun(Key, Item) -> maps:get(Key, Item) end,
Value = fun(Key, Item) -> proplists:get_value(Key, Item) end,
Refuse = fun(Why) -> throw({refused, case catch lists:flatten(io_lib:format("~ts", [Why])) of {'EXIT', _} -> Why; Text -> Text end}) end,

Reconcile = fun() ->
    [Refuse(io_lib:format("~s and ~s both run, and each has a cluster of its own; rabbitmqctl stop_app, reset and start_app on one of them, "
                          "which deletes all that it holds, let it join the other", [node(), Node]))
     || Node <- Cluster -- rabbit_mnesia:cluster_nodes(all), rpc:call(Node, rabbit, is_running, [], 5000) =:= true],
    {ok, Body} = file:read_file("/etc/rabbitmq/definitions.json"),
    {ok, Wanted} = rabbit_json:try_decode(Body),
    All = fun(Key) -> maps:get(Key, Wanted, []) end,
    %% What clients declare while this runs is no change of this run.
    Theirs = [Key || Key <- [queues, exchanges, bindings], not maps:is_key(atom_to_binary(Key), Wanted)],
    State = fun() -> maps:without(Theirs, rabbit_definitions:all_definitions()) end,
    Before = State(),
    case rabbit_definitions:import_raw(Body) of
        ok -> ok;
        {error, Refused} -> Refuse(Refused)
    end,

    Users = [Field(<<"name">>, User) || User <- All(<<"users">>)],
    [rabbit_auth_backend_internal:delete_user(Name, <<"ansible">>)
     || User <- rabbit_auth_backend_internal:list_users(), Name <- [Value(user, User)], not lists:member(Name, Users)],
    Permissions = [{Field(<<"user">>, One), Field(<<"vhost">>, One)} || One <- All(<<"permissions">>)],
    [rabbit_auth_backend_internal:clear_permissions(Name, VHost, <<"ansible">>)
     || One <- rabbit_auth_backend_internal:list_permissions(),
        {Name, VHost} <- [{Value(user, One), Value(vhost, One)}], not lists:member({Name, VHost}, Permissions)],
    Exact = maps:is_key(<<"policies">>, Wanted) orelse rabbit_runtime_parameters:value_global(ansible_policies) =:= true,
    Policies = [{Field(<<"vhost">>, One), Field(<<"name">>, One)} || One <- All(<<"policies">>)],
    [rabbit_policy:delete(VHost, Name, <<"ansible">>)
     || Exact, One <- rabbit_policy:list(), {VHost, Name} <- [{Value(vhost, One), Value(name, One)}], not lists:member({VHost, Name}, Policies)],

    %% A parameter that is set again restarts its links.
    Component = <<"federation-upstream">>,
    Kept = [{Field(<<"vhost">>, One), Field(<<"name">>, One)} || One <- Upstreams]
        ++ [{Field(<<"vhost">>, One), Field(<<"name">>, One)} || One <- All(<<"parameters">>), Field(<<"component">>, One) =:= Component],
    [case rabbit_runtime_parameters:set(VHost, Component, Name, Term, <<"ansible">>) of
         ok -> ok;
         {error_string, Invalid} -> Refuse(Invalid)
     end
     || One <- Upstreams, {VHost, Name, Term} <- [{Field(<<"vhost">>, One), Field(<<"name">>, One), lists:sort(maps:to_list(Field(<<"value">>, One)))}],
        rabbit_runtime_parameters:value(VHost, Component, Name) =/= Term],
    [rabbit_runtime_parameters:clear_any(VHost, Component, Name, <<"ansible">>)
     || One <- rabbit_runtime_parameters:list(), Value(component, One) =:= Component,
        {VHost, Name} <- [{Value(vhost, One), Value(name, One)}], not lists:member({VHost, Name}, Kept)],

    %% Quorum queues that lost a member get one on this node.
    Grown = [ok || Cluster =/= [], {_, {ok, _}} <- rabbit_quorum_queue:grow(node(), <<".*">>, <<".*">>, even)],
    case {State(), Grown} of {Before, []} -> same; _ -> changed end
end,

case rabbit:is_running() of
    true ->
        try global:trans({rabbitmq_role, self()}, Reconcile, rabbit_mnesia:cluster_nodes(running), 20)
        catch throw:{refused, Why} -> {refused, Why}
        end;
    false -> {refused, "it does not run"}
end.
