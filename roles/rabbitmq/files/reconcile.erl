{ok, Body} = file:read_file("/etc/rabbitmq/definitions.json"),
{ok, Wanted} = rabbit_json:try_decode(Body),
Field = fun(Key, Item) -> maps:get(Key, Item) end,
All = fun(Key) -> maps:get(Key, Wanted, []) end,
Before = rabbit_definitions:all_definitions(),
ok = rabbit_definitions:import_raw(Body),
Users = [Field(<<"name">>, User) || User <- All(<<"users">>)],
[rabbit_auth_backend_internal:delete_user(Name, <<"ansible">>)
 || User <- rabbit_auth_backend_internal:list_users(), Name <- [proplists:get_value(user, User)], not lists:member(Name, Users)],
Permissions = [{Field(<<"user">>, One), Field(<<"vhost">>, One)} || One <- All(<<"permissions">>)],
[rabbit_auth_backend_internal:clear_permissions(Name, VHost, <<"ansible">>)
 || One <- rabbit_auth_backend_internal:list_permissions(),
    {Name, VHost} <- [{proplists:get_value(user, One), proplists:get_value(vhost, One)}], not lists:member({Name, VHost}, Permissions)],
Policies = [{Field(<<"vhost">>, One), Field(<<"name">>, One)} || One <- All(<<"policies">>)],
[rabbit_policy:delete(VHost, Name, <<"ansible">>)
 || maps:is_key(<<"policies">>, Wanted), One <- rabbit_policy:list(),
    {VHost, Name} <- [{proplists:get_value(vhost, One), proplists:get_value(name, One)}], not lists:member({VHost, Name}, Policies)],
case rabbit_definitions:all_definitions() of
    Before -> same;
    _ -> changed
end.
